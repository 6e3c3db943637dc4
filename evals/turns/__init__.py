"""Turn-taking, scored: cases built by a recipe, run through the real parts in call time. `bench.turns` prints them."""
