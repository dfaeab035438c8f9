import numpy as np


def mean_average_precision(qc, dc, ql, dl, *, cutoff=None, ties="expected"):
    n = len(dc)
    Hn = np.concatenate([[0], np.cumsum(1 / np.arange(1, n + 1))])
    Q = np.unpackbits(qc, axis=1).astype(np.float32)
    D = np.unpackbits(dc, axis=1).astype(np.float32)
    d = (Q.sum(1)[:, None] + D.sum(1)[None] - 2 * Q @ D.T).round().astype(int)
    rel = ql.astype(np.float32) @ dl.T.astype(np.float32) > 0
    out = []
    for x, r in zip(d, rel):
        m = np.bincount(x).astype(float)
        rr = np.bincount(x, weights=r)
        k = m > 0
        m = m[k]
        rr = rr[k]
        N = np.cumsum(m) - m
        R = np.cumsum(rr) - rr
        a = np.where(m > 1, (rr - 1) / np.maximum(m - 1, 1), 0)
        hs = Hn[(N + m).astype(int)] - Hn[N.astype(int)]
        out.append((rr / m * ((R + 1) * hs + a * (m - (N + 1) * hs))).sum() / max(rr.sum(), 1))
    return float(np.mean(out))
