"""What is simulated: grids, media, shapes and what stands at the ends."""
