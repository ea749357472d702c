"""Where people look: dashboard, API, and the public status page behind the link in a reply."""
