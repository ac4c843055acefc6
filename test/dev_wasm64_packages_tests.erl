%% The suites of the device once more, on a kernel that loads packages: see hb_packages.
-module(dev_wasm64_packages_tests).

-include_lib("eunit/include/eunit.hrl").

-define(SUITES, [
    dev_wasm64_compute_tests, dev_wasm64_emscripten_tests, dev_wasm64_errors_tests, dev_wasm64_hashpath_tests,
    dev_wasm64_import_errors_tests, dev_wasm64_imports_tests, dev_wasm64_init_errors_tests, dev_wasm64_init_tests,
    dev_wasm64_many_tests, dev_wasm64_records_tests, dev_wasm64_snapshot_state_tests, dev_wasm64_snapshots_tests, dev_wasm64_stacks_tests
]).

%% Here a guest's fault is no result, a key is no other's equal for its case, and modules cannot be called by their names.
-define(OF_OTHER_KERNELS, [
    {dev_wasm64_compute_tests, [
        results_are_under_the_output_prefix_test_, results_are_those_of_the_last_call_test_,
        a_call_that_fails_reports_what_it_has_used_too_test_, gas_is_reported_beside_fuel_test_
    ]},
    {dev_wasm64_errors_tests, [
        every_vm_finds_the_same_texts_test_, a_failed_compute_keeps_the_message_test_, an_error_in_a_stack_is_that_of_the_device_test_
    ]},
    {dev_wasm64_hashpath_tests, [
        a_compute_is_one_step_of_the_hashpath_test_, what_is_private_stays_test_, only_calls_of_both_branches_are_made_test,
        info_says_the_same_to_both_branches_test
    ]},
    {dev_wasm64_import_errors_tests, [
        undefined_imports_are_recorded_under_the_output_prefix_test_, a_wrong_answer_is_an_error_of_the_guest_test_,
        results_that_are_no_list_name_the_import_test_, a_state_that_is_no_message_harms_nothing_test_,
        a_library_whose_device_does_not_exist_fails_the_import_test_,
        a_failed_import_in_a_nested_compute_is_a_result_of_that_test_
    ]},
    {dev_wasm64_imports_tests, [
        libraries_are_under_the_output_prefix_test_, the_state_of_a_failed_compute_is_the_last_one_test_,
        names_of_modules_are_paths_test_
    ]},
    {dev_wasm64_init_errors_tests, [
        an_unknown_mode_is_named_with_the_input_prefix_test_, the_image_is_named_with_the_input_prefix_test_
    ]},
    {dev_wasm64_init_tests, [
        an_image_may_be_in_the_message_itself_test_, an_image_lies_under_the_input_prefix_test_,
        an_input_prefix_may_have_levels_test_, the_private_state_is_under_the_output_prefix_test_, both_names_are_this_device_test_
    ]},
    {dev_wasm64_stacks_tests, [an_interface_sees_the_errors_of_the_guest_test_, each_device_has_its_errors_test_]}
]).

suites_test_() ->
    {setup, fun() -> hb_packages:vm(?SUITES) end, fun peer:stop/1, fun(VM) ->
        [
            {lists:concat([Suite, ":", Function]), {timeout, 300, fun() ->
                {Count, Failures} = hb_packages:run(VM, Suite, Function),
                ?assertEqual([], Failures),
                ?assert(Count > 0 orelse lists:suffix("_test_", atom_to_list(Function)))
            end}}
         || Suite <- ?SUITES, Function <- tests(Suite) -- proplists:get_value(Suite, ?OF_OTHER_KERNELS, [])
        ]
    end}.

tests(Suite) -> [Function || {Function, 0} <- Suite:module_info(exports), is_test(atom_to_list(Function))].

the_tests_of_other_kernels_exist_test() ->
    ?assertEqual([], [{Suite, Functions -- tests(Suite)} || {Suite, Functions} <- ?OF_OTHER_KERNELS, Functions -- tests(Suite) =/= []]).

is_test(Name) -> lists:suffix("_test", Name) orelse lists:suffix("_test_", Name).
