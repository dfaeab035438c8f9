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
def emulate(problem: int, backward: bool, threads: int) -> None: ...
def emulated_chunks(query_items: int, context_items: int) -> int: ...
def emulated_shared_bytes(type: int, max_queries: int, gram_width: int, backward: bool) -> int: ...

emulated_struct_size: int
