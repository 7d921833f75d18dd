"""Bad arguments for every public function: `python -m tests.fuzz` tries them and says which answers are none."""
