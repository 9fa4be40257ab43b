"""Pack the packages into one folder of the wheel; all else stands in pyproject.toml.

In a site-packages that others share, names such as ``config`` or ``actors`` would collide. So the
wheel holds perpdesk.py and the folder ``perpdesk_packages``, which perpdesk.py puts on the path of
its own process only. In the checkout the packages stay at the top, where people read them.
"""

from setuptools import find_packages, setup

FOLDER = "perpdesk_packages"
ROOMS = ("config", "catalog", "strategies", "actors", "backtests", "live_nodes")
FOUND = find_packages(include=[name for room in ROOMS for name in (room, f"{room}.*")])
DATA = {
    "backtests": ["runs/*.yaml", "studies/*.yaml"],
    "backtests.report": ["*.css", "*.js"],
    "catalog": ["ingests/*.yaml"],
    "config": [
        "*.md",
        "*.svg",
        "presets/*.yaml",
        "setups/*.yaml",
        "schemas/*.json",
        "project_template/*.txt",
        "project_template/.*.txt",
        "project_template/*/*.yaml",
    ],
    "live_nodes.dashboard": ["static/*", "static/*/*"],
    "live_nodes": ["nodes/*.yaml", "*.md", "monitoring/*"],
    "live_nodes.install": ["Dockerfile*", "*.yaml"],
    "live_nodes.practice": ["markets/*.yaml"],
    "strategies": ["*.md"],
}

setup(
    packages=[f"{FOLDER}.{name}" for name in FOUND],
    package_dir={FOLDER: "."},
    package_data={f"{FOLDER}.{name}": files for name, files in DATA.items()},
)
