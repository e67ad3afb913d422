"""What every HTTP route shares: messages, the table of routes, headers, compression."""
