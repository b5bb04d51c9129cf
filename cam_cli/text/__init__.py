"""Words and answers of networks that read images and write text, and maps of them."""
