"""The structure of the package: imports point one way, heavy libraries stay in one place, importing is quick."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import minicnn

PACKAGE = Path(minicnn.__file__).parent

# What each subpackage, or file with its own entry, may import from the package; any other import fails the test.
MAY_IMPORT = {
    "errors": set(),
    "functions": set(),
    "targets": {"errors"},
    "runtime": {"errors"},
    "kernels": {"errors", "runtime"},
    "initializers": {"errors"},
    "regularizers": {"errors"},
    "layers": {"errors", "functions", "initializers", "kernels", "regularizers"},
    "losses": {"errors", "functions", "targets"},
    "outputs": {"errors", "functions", "losses", "targets"},
    "metrics": {"errors", "losses", "outputs", "targets"},
    "optimizers": {"errors", "kernels"},
    "gradient_check": {"errors", "kernels"},
    "saving": {"errors", "layers", "losses"},
    "reporting/plots": {"metrics", "runtime", "saving"},
    "training": {"errors", "losses", "metrics", "reporting/plots", "runtime", "saving", "targets"},
    "fusion": {"layers"},
    "summary": {"fusion", "layers"},
    "tracing": {"errors", "layers", "losses"},
    "architecture": {"errors", "fusion", "kernels", "layers", "saving", "summary"},
    "model": {
        "architecture", "errors", "fusion", "layers", "losses", "metrics", "optimizers", "outputs", "saving", "tracing",
        "training",
    },
    "saving/loading": {
        "architecture", "errors", "kernels", "layers", "losses", "model", "optimizers", "runtime", "saving",
    },
    "models": {"layers", "model"},
    "models/pretrained": {"errors", "model", "saving/loading"},
    "models/recipes": {"data", "errors", "model", "models", "optimizers"},
    "data": {"errors", "runtime", "saving", "training"},
    "inference": {"data", "errors", "fusion", "layers", "model", "saving/loading", "targets", "training"},
    "reporting": {"data", "errors", "metrics", "outputs", "reporting/plots", "runtime"},
    "cli": {
        "data", "errors", "inference", "models/pretrained", "models/recipes", "optimizers", "reporting",
        "reporting/plots", "runtime", "saving",
    },
    "__main__": {"cli"},
}  # fmt: skip
ONLY_IN = {
    "PIL": {"data"},
    "matplotlib": {"reporting/plots"},
    "safetensors": {"saving"},
    "numba": {"kernels", "runtime"},
    "llvmlite": {"kernels"},
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def subpackage(parts):
    """The entry in MAY_IMPORT for a file: its own, or that of its subpackage."""
    return "/".join(parts[:2]) if "/".join(parts[:2]) in MAY_IMPORT else parts[0]


def place(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def imports(path):
    """(subpackage, None) or (None, other library) for each import in the file, also inside functions."""
    package = place(path)[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((None, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield None, node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = (
                *package[: len(package) - node.level + 1],
                *(node.module.split(".") if node.module else ()),
            )
            names = [alias.name for alias in node.names if alias.name != "__version__"]
            yield from ((subpackage((*base, name)), None) for name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path):
    here = subpackage(place(path))
    for part, library in imports(path):
        if part is not None:
            assert part == here or part in MAY_IMPORT[here], f"{here} may not import {part}"
        elif library in ONLY_IN:
            assert here in ONLY_IN[library], f"{library} may not be imported in {here}"


def test_every_subpackage_has_an_entry():
    assert {subpackage(place(path)) for path in FILES} == MAY_IMPORT.keys()


def test_imports_between_subpackages_have_no_cycles():
    assert len(list(TopologicalSorter(MAY_IMPORT).static_order())) == len(MAY_IMPORT)


@pytest.mark.parametrize("path", [*FILES, *EXAMPLES], ids=lambda path: "/".join(path.parts[-2:]))
def test_no_file_is_long_and_each_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a file begins by saying what it is"
    documentation = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            documentation |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = path.read_text(encoding="utf-8").splitlines()
    code = [
        n
        for n, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#") and n not in documentation
    ]
    assert len(code) <= 300


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("minicnn", {"matplotlib", "PIL", "scipy", "numba"}),
        ("minicnn.data", {"matplotlib", "scipy", "numba"}),
        ("catdog", {"matplotlib", "scipy", "numba"}),
    ],
)
def test_importing_is_quick(name, heavy, root):
    """Tested in a new process, because this one has imported everything."""
    code = f"import sys, {name}; print({heavy} & sys.modules.keys() or 'none of them')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root / "examples")
    assert done.stdout.strip() == "none of them"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_compiled_function_is_cached_by_runtime_compiling(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "numba":
            assert not {"jit", "njit"} & {alias.name for alias in node.names}, (
                "take njit from runtime/compiling.py"
            )


def public_functions(tree):
    """Public functions and the public methods of public classes; compiled functions are private to their file."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            compiled = any("njit" in ast.dump(decorator) for decorator in node.decorator_list)
            yield from () if compiled else (node,)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_public_function_has_type_hints_and_every_public_name_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in public_functions(tree):
        bare = [arg.arg for arg in [*function.args.args, *function.args.kwonlyargs] if arg.annotation is None]
        assert set(bare) <= {"self", "cls"}, f"{function.name}: {bare}"
        assert function.returns is not None or function.name == "__init__", (
            f"{function.name} has no return type"
        )
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_public_names_exist():
    assert all(hasattr(minicnn, name) for name in minicnn.__all__)
