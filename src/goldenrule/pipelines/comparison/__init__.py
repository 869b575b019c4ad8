"""Several networks trained several ways on the same images, compared."""
