"""What needs NumPy, Pillow or torch; imported when a component is used."""
