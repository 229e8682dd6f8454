"""What users of jubakit write: it starts and stops the servers itself. Runs in an environment with jubakit."""

import inspect

inspect.getargspec = inspect.getfullargspec  # Python 3.11 does not have it any more

from jubakit.classifier import Classifier, Config, Dataset  # noqa: E402

DATA = [[i % 2, 1.0, i / 40] for i in range(40)]
LABELS = [i % 2 for i in range(40)]

dataset = Dataset.from_array(DATA, LABELS, ["x", "y", "z"], ["even", "odd"])
service = Classifier.run(Config(method="AROW", parameter={"regularization_weight": 1.0}))
assert sum(1 for _ in service.train(dataset)) == 40
assert [best[0][0] for _, _, best in service.classify(dataset)] == ["even", "odd"] * 20
service.save("kit")
service.clear()
service.load("kit")
assert [best[0][0] for _, _, best in service.classify(dataset)] == ["even", "odd"] * 20
(status,) = service.get_status().values()
assert "_classifier_kit" in status["last_saved_path"]
service.stop()  # raises where it does not end with status 0
print("done")
