"""What is done about it: compliance, ladder, windows, scope, pauses and the decision. Pure."""
