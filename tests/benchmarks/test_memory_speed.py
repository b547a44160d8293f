"""What it saves to keep freed memory in the process, on a training step of a CNN on camera frames.

python -m pytest tests/benchmarks/test_memory_speed.py -m benchmark -s
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
# in a process of its own: what malloc was told holds for all that follows
STEPS = """
import json, resource, sys, torch
from modules.encoders.chauffeur import ChauffeurEncoder
from pipelines.memory import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory()
encoder = ChauffeurEncoder(120, 320).train()
frames = torch.randint(0, 255, (32, 1, 3, 120, 320), dtype=torch.uint8)
usage = []
for _ in range(6):
    encoder(frames).square().mean().backward()
    used = resource.getrusage(resource.RUSAGE_SELF)
    usage.append((used.ru_utime + used.ru_stime, used.ru_minflt))
# the first step is the one that has to ask
print(json.dumps([(last - first) / 5 for first, last in zip(usage[0], usage[-1])]))
"""


@pytest.mark.benchmark
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc of glibc")
def test_a_training_step_with_freed_memory_kept() -> None:
    found = {}
    for name in ("given back", "kept"):
        command = [sys.executable, "-c", STEPS, name]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout)
    table = Table(title="Training step of Chauffeur's CNN on 32 frames, one thread")
    for column in ("freed memory", "CPU seconds", "page faults"):
        table.add_column(column)
    for name, (seconds, faults) in found.items():
        table.add_row(name, f"{seconds:.2f}", f"{faults:,.0f}")
    Console().print(table)
    assert found["kept"][0] < 0.9 * found["given back"][0]
    assert found["kept"][1] < 0.2 * found["given back"][1]
