"""Writes the dashboards and the rules of the service levels into the chart."""

from pathlib import Path

from deploy.monitoring.files import files

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    for name, text in files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
