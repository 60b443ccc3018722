"""What the README shows works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from conftest import Service

README = Path(__file__).parent.parent / "README.md"


def test_snippets(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SANITIZER_API_URL", service.url)
    monkeypatch.setenv("SANITIZER_API_KEY", service.api_key)
    snippets = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)
    assert len(snippets) == 10
    names: dict[str, Any] = {}
    printed = []
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), names)  # noqa: S102
        printed.append(capsys.readouterr().out)
    start, spec, _, jobs, _, _, review, tokens, errors, _ = printed
    assert "2 None -> 40.0 " in start
    assert "1 duplicate 0" in start
    assert re.search(r"2 +Bob +40.0", start)
    # Cid is older than the contract of the spec allows.
    assert spec.count("\n") == 1
    assert "age" in spec
    assert "success 1.0" in jobs
    assert "3 success" in jobs
    assert "1 inactiv -> inactive 0." in review
    assert review.count("human_override") == 3
    assert Path("accounts.csv").read_text().splitlines()[1:] == ["1,active", "2,inactiv", "3,gone"]
    assert re.findall(r"^tok_\w{8}_\w{32} is (\w+)@", tokens, re.M) == ["ann", "bob"]
    assert errors.startswith("steps[0].columnz unknown field")
    assert Path("removed.parquet").exists()
