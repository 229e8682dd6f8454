"""Learners that keep rows: recommender, nearest neighbours, anomaly, classifier and regression by similarity."""
