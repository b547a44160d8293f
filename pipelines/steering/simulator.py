"""The `simulator` command: a model drives in Udacity's simulator."""

from __future__ import annotations

from pathlib import Path

from modules.errors import InputError
from modules.steering.units import RADIANS, unit_of
from pipelines.devices import chosen_device
from pipelines.running.listening import LOOPBACK, listen
from pipelines.steering.loop.loaded_models import load_models, steered_for


def simulator(
    ckpt_path: list[Path],
    port: int = 4567,
    host: str = LOOPBACK,
    speed_mph: float = 15.0,
    device: str = "cpu",
) -> None:
    """Let a model drive in Udacity's simulator: answer its telemetry with steering angle and throttle.

    Start this, then the simulator, and choose its autonomous mode. It sends what its front camera sees to
    port 4567 of its own machine. The throttle keeps a speed, lower in curves. Keys W and S take over.

    Args:
        ckpt_path: Checkpoint of a model that has learnt the simulator's recordings, such as
            RUN/checkpoints/best.ckpt. Of several the mean of their angles counts.
        port: That the simulator asks; 0 takes any free one.
        host: Address to listen on; 0.0.0.0 where the simulator runs on another machine, which everybody
            there can then reach.
        speed_mph: Miles an hour on a straight, above 0 and at most 30.
        device: auto, cpu, cuda, cuda:N or mps. One frame at a time is quick on a CPU.
    """
    if not 0 < speed_mph <= 30:
        raise InputError(f"speed_mph is {speed_mph:g}; it has to be above 0 and at most 30")
    try:
        import uvicorn
        import wsproto  # noqa: F401  uvicorn's websockets

        from pipelines.steering.loop.telemetry import LARGEST, application
    except ModuleNotFoundError as error:
        raise InputError(
            f'simulator needs {error.name}; pip install "seqsight[simulator]" brings it'
        ) from None
    with listen(port, host) as listening:
        models = load_models(ckpt_path, chosen_device(device))
        recorder = steered_for(models, "simulator", ckpt_path)
        unit = unit_of(recorder)
        if unit.label == RADIANS.label:
            raise InputError(
                f"--ckpt_path {ckpt_path[0]}: says {unit.described}, and the simulator takes shares of full "
                "lock; train on its recordings: fit --config configs/steer/simulator.yaml --data.root DIR"
            )
        address = f"{host}:{listening.getsockname()[1]}"
        print(f"waiting for the simulator at {address}; Ctrl-C ends it", flush=True)
        config = uvicorn.Config(
            application(models, unit, speed_mph),
            log_level="critical",
            access_log=False,
            ws="wsproto",
            ws_max_size=2 * LARGEST,
            timeout_graceful_shutdown=3,
        )
        uvicorn.Server(config).run(sockets=[listening])
