"""What is kept between requests, and sharing what several of them want at once; nothing here is needed to answer."""
