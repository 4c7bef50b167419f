"""A recorded session in the formats that other programs open."""
