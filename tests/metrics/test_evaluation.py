import subprocess
import sys

import goldenrule.metrics


def test_importing_evaluation_imports_numpy_and_nothing_heavy():
    heavy = {"torch", "scipy", "sklearn", "pandas", "pyarrow", "matplotlib"}
    code = f"import sys, goldenrule.metrics;print(sorted({heavy} & {{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_exist():
    names = goldenrule.metrics.__all__
    assert names == sorted(names)
    assert all(hasattr(goldenrule.metrics, name) for name in names)
