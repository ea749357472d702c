"""What a message says of the server that hands it over: ``Received`` grammar, recognisers, handover hop."""
