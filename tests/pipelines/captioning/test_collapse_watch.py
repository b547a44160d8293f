"""A fit whose captions collapse in self-critical training is stopped, and says why."""

from types import SimpleNamespace

from modules.captioning.collapse import Writing
from pipelines.captioning.collapse_watch import CollapseWatch
from pipelines.endings import Ending

GOOD, BAD = Writing(10.0, 0.6, 0.0), Writing(10.0, 0.6, 0.9)


def validate(watch, epoch, writing, reinforces_from=2):
    trainer = SimpleNamespace(
        state=SimpleNamespace(fn="fit"), sanity_checking=False, current_epoch=epoch, should_stop=False
    )
    model = SimpleNamespace(
        evaluation=SimpleNamespace(writing=writing), reinforces_from=reinforces_from, divergence=None
    )
    watch.on_validation_end(trainer, model)
    trainer.callbacks = [watch]
    return trainer, model


def test_collapse_ends_a_fit_with_its_reason():
    watch = CollapseWatch()
    assert not validate(watch, 1, GOOD)[0].should_stop
    assert not validate(watch, 2, GOOD)[0].should_stop
    trainer, model = validate(watch, 3, BAD)
    assert trainer.should_stop
    reason = Ending()._why(trainer, model)
    assert "90% of the captions end in a word" in reason and "reinforce_cross_entropy" in reason


def test_a_resumed_fit_remembers_how_captions_were_written():
    before, resumed = CollapseWatch(), CollapseWatch()
    validate(before, 1, GOOD)
    resumed.load_state_dict(before.state_dict())
    assert validate(resumed, 2, BAD)[0].should_stop


def test_teacher_forcing_is_left_alone_however_its_captions_end():
    watch = CollapseWatch()
    validate(watch, 0, GOOD)
    assert not validate(watch, 1, BAD, reinforces_from=float("inf"))[0].should_stop
