"""Several worker processes behind one front: the front has the sockets, each worker has its calls."""
