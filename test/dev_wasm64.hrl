%% What the device answers for a failure of the node, in the kernel for which the tests are compiled: see hb_packages.
-ifdef(PACKAGES).
-define(FAILURE, failure).
-else.
-define(FAILURE, error).
-endif.
