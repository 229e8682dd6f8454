"""scikit-learn estimators on the engine."""
