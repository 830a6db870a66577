"""The house: imports run one way, and no module is in a circle."""

import ast
from pathlib import Path

import dec

PACKAGE = Path(dec.__file__).parent
# A room may import those below it, and itself.
ROOMS = ["cli", "paper", "review", "classify", "clustering", "deepcluster", "engine"]
ROOMS += ["data", "nets", "photos"]
BASES = {"scores", "page"}  # of all methods, on base alone


def imports() -> dict[str, set[str]]:
    """Every module, and the modules of ours that it imports, in functions too."""
    files = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = path
    found = {}
    for name, path in files.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                inside = names & files.keys()
                found[name] |= inside or ({node.module} & files.keys())
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & files.keys()
        found[name].discard(name)
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_rooms_import_downwards_only():
    for module, others in imports().items():
        for other in others:
            here, there = room(module), room(other)
            if here == there or there in ("base", "") or here == "":
                continue
            if there in BASES:
                assert here not in ("base", "photos", *BASES), (module, other)
            else:
                assert here in ROOMS and there in ROOMS, (module, other)
                assert ROOMS.index(here) < ROOMS.index(there), (module, other)


def test_no_module_is_in_a_circle():
    graph = imports()
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for other in sorted(graph[module]):
                walk(other, (*way, module))
            done.add(module)

    for module in sorted(graph):
        walk(module, ())


def test_the_command_line_is_quick_to_start():
    """What takes long to import is imported by the commands that need it."""
    import subprocess
    import sys

    code = "import dec.cli, sys; dec.cli.parser(); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    slow = {"caffe", "cv2", "matplotlib", "sklearn", "scipy", "joblib", "imagehash"}
    slow |= {"onnx", "pyamg"}
    assert not loaded & slow
