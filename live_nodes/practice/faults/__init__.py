"""What the practice exchange does wrong on purpose: data, seeded, bounded and counted."""
