"""How an exchange's type is called: `type` in the oldest pika, `exchange_type` later."""

import broker


def kind(name):
    """The keyword argument for exchange_declare."""
    oldest = broker.pika.__version__.startswith("0.10.")
    return {"type" if oldest else "exchange_type": name}
