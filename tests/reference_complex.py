"""What covers the records of complex numbers and of Fourier transforms, and the oracle of `sgn`.

Leans on NumPy and on samples' words; the records take complex numbers, which test_complex.py draws.
"""

from __future__ import annotations

from samples import SAME, unary

unary("sgn", lambda x: (x > 0).astype(x.dtype) - (x < 0) if x.dtype != bool else x, SAME)

_HERE = (
    "conj real imag view_as_real view_as_complex complex polar modulus argument unit spread_of"
    " length_of is_whole_real convolution_parts convolution_transpose_parts unfold_parts fold_parts"
    " logaddexp_parts logsumexp_parts softsign_parts eig_of"
)
BEHIND = {
    **dict.fromkeys(_HERE.split(), "test_complex.py"),
    **dict.fromkeys(("fft_whole", "fft_to_half", "fft_from_half"), "test_fft.py"),
}
