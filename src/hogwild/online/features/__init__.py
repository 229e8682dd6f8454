"""From datum to features: Jubatus' converter."""
