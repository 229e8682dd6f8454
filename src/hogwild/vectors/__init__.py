"""Explicit vector code, in LLVM, for the inner loops that the compiler leaves scalar."""
