"""Recording: the day on disk. In: messages. Out: MCAP files, and messages again. Never: interprets what it stores."""
