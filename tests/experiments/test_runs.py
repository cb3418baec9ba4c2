"""Commands on a run of any kind: nobody waits for what another kind needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evofool.evolution.campaign import evolve


def test_the_status_of_a_campaign_does_not_load_torch(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    evolve(toy_campaign(stop={"generations": 1}), tmp_path / "run")
    code = (
        "import sys; from evofool.experiments.runs import status; status(sys.argv[1]);"
        " sys.exit(any(name in sys.modules for name in ('torch', 'numba', 'cv2', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], timeout=600)
    assert done.returncode == 0
