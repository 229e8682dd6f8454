"""Online linear classifiers with scikit-learn's interface."""

from __future__ import annotations

from hogwild.online.linear.base_estimators import OnlineLinearClassifier
from hogwild.online.linear.classifier_kernel import AROW, CW, NHERD, PA, PA1, PA2, PERCEPTRON


class _Plain(OnlineLinearClassifier):
    def __init__(self, *, fit_intercept=True, max_iter=1, shuffle=True, random_state=None):
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state


class _Weighted(OnlineLinearClassifier):
    def __init__(self, C=1.0, *, fit_intercept=True, max_iter=1, shuffle=True, random_state=None):
        self.C = C
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state


class PerceptronClassifier(_Plain):
    """Multiclass perceptron.

    Where the row's class y does not have the highest score, ``w_y += x`` and ``w_r -= x``, r being the class that has.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    F. Rosenblatt. The perceptron: a probabilistic model for information storage and organization in the brain.
    Psychological Review 1958. K. Crammer, Y. Singer. Ultraconservative online algorithms for multiclass problems.
    JMLR 2003.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import PerceptronClassifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(PerceptronClassifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = PERCEPTRON


class PAClassifier(_Plain):
    """Passive-aggressive classifier.

    With the margin ``m = w_y.x - w_r.x`` between the row's class and the highest other: where ``m < 1``, the smallest
    change that makes it 1, ``w_y += tau x``, ``w_r -= tau x``, ``tau = (1 - m) / (2 |x|^2)``.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer. Online passive-aggressive algorithms. JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import PAClassifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(PAClassifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = PA

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # the last row is always right, however far that is from all others
        return tags


class PA1Classifier(_Weighted):
    """Passive-aggressive classifier with bounded steps (PA-I).

    As `PAClassifier` with ``tau = min(C, (1 - m) / (2 |x|^2))``.

    Parameters
    ----------
    C : float, default=1.0
        Largest step.
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer. Online passive-aggressive algorithms. JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import PA1Classifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(PA1Classifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = PA1


class PA2Classifier(_Weighted):
    """Passive-aggressive classifier with damped steps (PA-II).

    As `PAClassifier` with ``tau = (1 - m) / (2 |x|^2 + 1 / (2 C))``.

    Parameters
    ----------
    C : float, default=1.0
        The larger, the longer the steps.
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer. Online passive-aggressive algorithms. JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import PA2Classifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(PA2Classifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = PA2


class CWClassifier(_Weighted):
    """Confidence-weighted classifier, variances of single weights.

    Each weight has a variance s, 1 at first. With the margin m and its variance ``V = sum (s_y + s_r) x^2``,
    ``b = 1 + 2 C m``: ``gamma = (-b + sqrt(b^2 - 8 C (m - C V))) / (4 C V)``; where that is positive,
    ``w_y += gamma s_y x``, ``w_r -= gamma s_r x``, ``s <- 1 / (1 / s + 2 gamma C x^2)``.

    Parameters
    ----------
    C : float, default=1.0
        Confidence (phi) that a row is to be classified with.
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    M. Dredze, K. Crammer, F. Pereira. Confidence-weighted linear classification. ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import CWClassifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(CWClassifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = CW


class AROWClassifier(_Weighted):
    """Adaptive regularization of weight vectors.

    Each weight has a variance s, 1 at first. With the margin m and its variance ``V = sum (s_y + s_r) x^2``, where
    ``m < 1``: ``beta = 1 / (V + 1 / C)``, ``alpha = (1 - m) beta``, ``w_y += alpha s_y x``, ``w_r -= alpha s_r x``,
    ``s -= beta s^2 x^2``.

    Parameters
    ----------
    C : float, default=1.0
        The larger, the less earlier rows count (1 / r).
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, A. Kulesza, M. Dredze. Adaptive regularization of weight vectors. NIPS 2009.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import AROWClassifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(AROWClassifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = AROW


class NHERDClassifier(_Weighted):
    """Normal herding.

    As `AROWClassifier` with ``w_y += (1 - m) s_y x / (V + 1 / C)`` (``w_r`` the other way) and
    ``s <- 1 / (1 / s + (2 C + C^2 V) x^2)``.

    Parameters
    ----------
    C : float, default=1.0
        The larger, the less earlier rows count.
    fit_intercept : bool, default=True
        Learn the weight of a feature that is always 1.
    max_iter : int, default=1
        Passes of `fit`.
    shuffle : bool, default=True
        Whether each pass of `fit` takes the rows in another order.
    random_state : int, RandomState or None, default=None
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, D. D. Lee. Learning via Gaussian herding. NIPS 2010.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild.online.linear.estimators import NHERDClassifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> bool(NHERDClassifier(random_state=0).fit(X, y).score(X, y) > 0.75)
    True
    """

    _method = NHERD
