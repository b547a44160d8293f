"""What makes two comparisons one."""

from pipelines.running.comparisons import settings_of


def test_a_comment_is_no_other_option_and_a_value_is(tmp_path):
    config = tmp_path / "compare.yaml"
    config.write_text("trainer:\n  max_epochs: 2\nname: compare\n")
    words = ["fit", "--config", str(config)]
    before = settings_of(words)
    config.write_text("# measured since\nname: compare\ntrainer:\n  max_epochs: 2\n")
    assert settings_of(words) == before
    config.write_text("name: compare\ntrainer:\n  max_epochs: 3\n")
    assert settings_of(words) != before != settings_of([*words, "--data.root", "elsewhere"])
