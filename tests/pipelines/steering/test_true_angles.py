"""The driver's angles beside a model's, from any form of labels."""

import numpy as np
import pytest

from data_prep.driving import read_drives
from pipelines.steering.drawing.picture import write_video
from pipelines.steering.true_angles import true_angles
from tests.pipelines.steering.steering_recordings import camera_frame


@pytest.mark.parametrize("named", ["monday.csv", "monday.mp4", "."])
def test_labels_may_be_a_video_and_the_csv_of_times_beside_it(named, tmp_path):
    video = write_video([camera_frame(n) for n in range(40)], tmp_path / "monday.mp4", 20)
    labels = "".join(f"{n / 50},{n}\n" for n in range(80))
    video.with_suffix(".csv").write_text(f"time_s,angle_deg\n{labels}")
    table = read_drives(video)
    assert np.nanmax(table.angle_rad) == pytest.approx(np.radians(79))
    np.testing.assert_array_equal(true_angles(tmp_path / named, table), table.angle_rad)
