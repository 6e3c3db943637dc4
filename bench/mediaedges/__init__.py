"""The same small echo of RTP on several edges: event loops, a thread with epoll, a C file. What each costs."""
