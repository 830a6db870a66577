"""What all reports share: HTML, style, figures."""
