"""Linear learners of one example after the other: classifiers and regressions."""
