"""Files for running servers beyond one process."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
"""Folder of the files: haproxy.cfg, kubernetes.yaml, triton.yaml, grafana.json, spair.service and Containerfile;
for Jetson boards spair-board.service, Containerfile.l4t and Containerfile.sbsa."""
