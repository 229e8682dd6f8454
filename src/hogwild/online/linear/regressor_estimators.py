"""Online linear regressions with scikit-learn's interface."""

from __future__ import annotations

from hogwild.online.linear.base_estimators import OnlineLinearRegressor
from hogwild.online.linear.classifier_kernel import AROW, CW, NHERD, PA, PA1, PA2, PERCEPTRON


class _Tolerant(OnlineLinearRegressor):
    def __init__(self, epsilon=0.1, *, fit_intercept=True, max_iter=1, shuffle=True, random_state=None):
        self.epsilon = epsilon
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state


class _Weighted(OnlineLinearRegressor):
    def __init__(self, C=1.0, *, epsilon=0.1, fit_intercept=True, max_iter=1, shuffle=True, random_state=None):
        self.C = C
        self.epsilon = epsilon
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state


class PerceptronRegressor(OnlineLinearRegressor):
    """Least mean squares: steps along the error.

    With the error ``e = y - w.x``: ``w += learning_rate e x``.

    Parameters
    ----------
    learning_rate : float, default=0.01
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
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
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import PerceptronRegressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(PerceptronRegressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = PERCEPTRON

    def __init__(self, learning_rate=0.01, *, fit_intercept=True, max_iter=1, shuffle=True, random_state=None):
        self.learning_rate = learning_rate
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state


class PARegressor(_Tolerant):
    """Passive-aggressive regression.

    With the error ``e = y - w.x`` and the running standard deviation sd of the targets,
    ``loss = |e| - epsilon sd``; where it is positive, ``w += sign(e) tau x``, ``tau = loss / |x|^2``.

    Parameters
    ----------
    epsilon : float, default=0.1
        Errors below this many standard deviations of the targets so far are tolerated.
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer. Online passive-aggressive algorithms. JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import PARegressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(PARegressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = PA


class PA1Regressor(_Weighted):
    """Passive-aggressive regression with bounded steps (PA-I).

    As `PARegressor` with ``tau = min(C, loss / |x|^2)``.

    Parameters
    ----------
    C : float, default=1.0
        Largest step.
    epsilon : float, default=0.1
        Errors below this many standard deviations of the targets so far are tolerated.
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer. Online passive-aggressive algorithms. JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import PA1Regressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(PA1Regressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = PA1


class PA2Regressor(_Weighted):
    """Passive-aggressive regression with damped steps (PA-II).

    As `PARegressor` with ``tau = loss / (|x|^2 + 1 / (2 C))``.

    Parameters
    ----------
    C : float, default=1.0
        The larger, the longer the steps.
    epsilon : float, default=0.1
        Errors below this many standard deviations of the targets so far are tolerated.
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer. Online passive-aggressive algorithms. JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import PA2Regressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(PA2Regressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = PA2


class CWRegressor(_Weighted):
    """Confidence-weighted regression, variances of single weights.

    Each weight has a variance s, 1 at first. With the error e and ``V = sum s x^2``, where ``|e| > epsilon``:
    ``b = 1 - 2 C |e|``, ``gamma = (-b + sqrt(b^2 + 8 C (|e| + C V))) / (4 C V)``, ``w += sign(e) gamma s x``,
    ``s <- 1 / (1 / s + 2 gamma C x^2)``. (The formula as Jubatus has it.)

    Parameters
    ----------
    C : float, default=1.0
        Confidence (phi) that a target is to be met with.
    epsilon : float, default=0.1
        Errors up to this are tolerated.
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    M. Dredze, K. Crammer, F. Pereira. Confidence-weighted linear classification. ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import CWRegressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(CWRegressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = CW


class AROWRegressor(_Weighted):
    """Adaptive regularization of weight vectors for regression.

    Each weight has a variance s, 1 at first. With the error e and ``V = sum s x^2``, where
    ``loss = |e| - epsilon > 0``: ``beta = 1 / (V + 1 / C)``, ``w += sign(e) loss beta s x``,
    ``s -= beta s^2 x^2``.

    Parameters
    ----------
    C : float, default=1.0
        The larger, the less earlier rows count (1 / r).
    epsilon : float, default=0.1
        Errors up to this are tolerated.
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, A. Kulesza, M. Dredze. Adaptive regularization of weight vectors. NIPS 2009.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import AROWRegressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(AROWRegressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = AROW


class NHERDRegressor(_Weighted):
    """Normal herding for regression.

    As `AROWRegressor` with ``s <- 1 / (1 / s + (2 C + C^2 V) x^2)``.

    Parameters
    ----------
    C : float, default=1.0
        The larger, the less earlier rows count.
    epsilon : float, default=0.1
        Errors up to this are tolerated.
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
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    K. Crammer, D. D. Lee. Learning via Gaussian herding. NIPS 2010.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild.online.linear.estimators import NHERDRegressor
    >>> X, y = make_regression(1000, 5, random_state=0)
    >>> bool(NHERDRegressor(random_state=0).fit(X, y / y.std()).score(X, y / y.std()) > 0.75)
    True
    """

    _method = NHERD
