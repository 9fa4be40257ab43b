"""Run nodes as services of this machine (systemd) or in containers (Docker Compose)."""
