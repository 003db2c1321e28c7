"""Run outside the checkout on installed wheels: recipes are inside, the plugin is found, a short run answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def nearkin(*arguments: str) -> str:
    """stdout of a command that must succeed."""
    done = subprocess.run([sys.executable, "-m", "nearkin", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nearkin {' '.join(arguments)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    import nearkin as package

    assert "site-packages" in str(Path(package.__file__)), package.__file__
    assert "digits-siamese" in nearkin("recipes", "list")
    assert "nearkin-siamese" in nearkin("plugins")
    run = nearkin("train", "digits-siamese", "train.steps=20").splitlines()[-1]
    assert "exam_20_way" in nearkin("evaluate", run)
    index = package.load_run(run).index
    index.save("digits.index")
    assert package.load_index("digits.index").labels == index.labels
    print(f"wheels: trained, evaluated and reopened {run} with nearkin {package.__version__}")


if __name__ == "__main__":
    main()
