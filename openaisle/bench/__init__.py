"""CheckoutBench: how right, how fast. In: suites and systems. Out: tables. Never: tunes what it measures."""
