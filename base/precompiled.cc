// Nothing of its own: the precompiled header of the libraries is built with this file (vps_library_headers in cmake/settings.cmake).
