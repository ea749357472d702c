"""The steps by which a store comes to the present tables; run by `wehr.ledger.opening`."""
