"""Demo: a simulated shop, run live. In: a store, a scenario, a seed. Out: a screen, a film, a report. Never: trains."""
