def run(
    is_double: bool,
    smooth: float,
    pool_temperature: float,
    pool: int,
    normalize: int,
    query_lengths: list[int],
    context_lengths: list[int],
    gram_width: int,
    threads: int,
    affinity: int,
    gram: int,
    query_norms: int,
    scores: int,
    grad_affinity: int = ...,
    grad_gram: int = ...,
    grad_norms: int = ...,
) -> None: ...
def strip_count(context_items: int) -> int: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def set_level(name: str) -> None: ...
