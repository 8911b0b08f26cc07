// Nothing of its own: the precompiled header of all tests is built with this file (vps_test_headers in cmake/settings.cmake).
