"""The methods: one function each, from the trace of a forward to maps of any sign and scale."""
