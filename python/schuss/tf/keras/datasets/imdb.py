"""Film reviews: their archive holds pickled lists, which are not read here.
Leans on nothing."""


def load_data(*args, **kwargs):
    """Not done: NotImplementedError says why."""
    raise NotImplementedError(
        "imdb.load_data: the archive holds pickled Python lists, which could run anything; read "
        "the reviews' texts and number their words"
    )
